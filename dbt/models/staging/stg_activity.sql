-- What people did on the website and with messages; who was not logged in is named by the browser.
select
    coalesce(customer_id, 'anonymous:' || anonymous_id) as customer_id,
    event_date as activity_date,
    'web:' || event as activity,
    category,
    device,
    channel,
    utm_source as source,
    utm_medium as medium,
    utm_campaign as campaign,
    {{ daypart(hour_of('event_at')) }} as daypart
from {{ source('lake', 'web_events') }}
where customer_id is not null or anonymous_id is not null
union all
select
    customer_id,
    event_date as activity_date,
    'engagement:' || event as activity,
    null as category,
    null as device,
    channel,
    null as source,
    null as medium,
    campaign,
    {{ daypart(hour_of('event_at')) }} as daypart
from {{ source('lake', 'engagement_events') }}

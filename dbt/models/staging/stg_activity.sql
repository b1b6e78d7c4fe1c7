-- What a known customer did outside the till, by source and event.
select customer_id, event_date as activity_date, 'web:' || event as activity
from {{ source('lake', 'web_events') }}
where customer_id is not null
union all
select customer_id, event_date as activity_date, 'engagement:' || event as activity
from {{ source('lake', 'engagement_events') }}

-- How often each person did what on which day: on the website, with messages and in the shop.
with shop as (
    select customer_id, order_date, 'shop:' || kind as activity, null as category, channel, hour
    from {{ ref('orders') }}
    union all
    select customer_id, order_date, 'shop:item_bought' as activity, product_category as category, channel, hour
    from {{ ref('stg_transactions') }}
    where kind = 'order'
),

events as (
    select
        customer_id, activity_date, activity, category, device, channel, source, medium, campaign, daypart
    from {{ ref('stg_activity') }}
    union all
    select
        customer_id,
        order_date as activity_date,
        activity,
        category,
        null as device,
        channel,
        null as source,
        null as medium,
        null as campaign,
        {{ daypart('hour') }} as daypart
    from shop
),

-- Events of one kind are numbered: millions of rows are counted and sorted by three short keys, which takes
-- half the memory of counting them by all of their texts.
kinds as (
    select
        *,
        row_number() over (
            order by activity, category, device, channel, source, medium, campaign, daypart
        ) as kind
    from (
        select distinct activity, category, device, channel, source, medium, campaign, daypart
        from events
    )
),

counted as (
    select events.customer_id, events.activity_date, kinds.kind, count(*) as events
    from events
    inner join kinds
        on events.activity = kinds.activity
        and events.category is not distinct from kinds.category
        and events.device is not distinct from kinds.device
        and events.channel is not distinct from kinds.channel
        and events.source is not distinct from kinds.source
        and events.medium is not distinct from kinds.medium
        and events.campaign is not distinct from kinds.campaign
        and events.daypart is not distinct from kinds.daypart
    group by all
)

select
    customer_id, activity_date, activity, category, device, channel, source, medium, campaign, daypart, events
from counted
inner join kinds using (kind)
order by customer_id, activity_date, kind

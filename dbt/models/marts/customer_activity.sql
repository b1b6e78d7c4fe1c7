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
)

select *, count(*) as events
from events
group by all
order by customer_id, activity_date, activity, category, device, channel, source, medium, campaign, daypart

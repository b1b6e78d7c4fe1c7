-- Orders and returns, each on its own day: nothing as of a date reads what a later line has changed.
with first_orders as (
    select customer_id, min(order_date) as first_order
    from {{ ref('stg_transactions') }}
    where kind = 'order'
    group by customer_id
),

by_category as (
    select
        lines.customer_id, lines.order_id, lines.order_date, lines.kind, lines.product_category,
        sum(lines.amount_minor) as amount_minor,
        count(*) as lines,
        min(lines.hour) as hour,
        min(lines.channel) as channel,
        sum(lines.units_milli) as units_milli,
        sum(lines.discount_minor) as discount_minor
    from {{ ref('stg_transactions') }} as lines
    inner join first_orders using (customer_id)
    -- a return before the first order belongs to an order that we have not seen
    where lines.order_date >= first_orders.first_order
    group by all
)

select
    customer_id,
    order_id,
    order_date,
    kind,
    cast(sum(amount_minor) as bigint) as amount_minor,
    cast(sum(lines) as bigint) as lines,
    min(hour) as hour,
    coalesce(list(product_category order by product_category) filter (where product_category is not null), []) as categories,
    first(product_category order by abs(amount_minor) desc, product_category)
        filter (where product_category is not null) as top_category,
    min(channel) as channel,
    cast(sum(units_milli) as bigint) as units_milli,
    cast(sum(discount_minor) as bigint) as discount_minor
from by_category
group by customer_id, order_id, order_date, kind
order by customer_id, order_date, kind, order_id

-- What the mart leaves out is exactly the returns of orders that were never seen.
with first_orders as (
    select customer_id, min(order_date) as first_order
    from {{ ref('stg_transactions') }}
    where kind = 'order'
    group by customer_id
),

lines as (
    select coalesce(sum(amount_minor), 0) as total
    from {{ ref('stg_transactions') }}
    inner join first_orders using (customer_id)
    where order_date >= first_order
),

mart as (select coalesce(sum(amount_minor), 0) as total from {{ ref('orders') }})

select * from lines, mart where lines.total <> mart.total

-- Every line that is a sale or a return; lines of amount zero are neither.
select
    customer_id,
    coalesce(order_id, strftime(transaction_date, '%Y-%m-%d')) as order_id,
    transaction_date as order_date,
    case when amount_minor > 0 then 'order' else 'return' end as kind,
    amount_minor,
    cast(extract(hour from transaction_at) as tinyint) as hour,
    product_category,
    channel,
    -- in thousandths; a line of more than a billion pieces has no credible quantity
    case when abs(quantity) <= 1000000000 then cast(abs(quantity) * 1000 as bigint) end as units_milli,
    discount_minor
from {{ source('lake', 'transactions') }}
where amount_minor <> 0

select *
from {{ ref('orders') }}
where (kind = 'order' and amount_minor <= 0) or (kind = 'return' and amount_minor >= 0)

-- How often each customer did what on which day.
select customer_id, activity_date, activity, count(*) as events
from {{ ref('stg_activity') }}
group by all
order by customer_id, activity_date, activity

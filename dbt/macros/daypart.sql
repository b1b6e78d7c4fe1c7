{# Six hours each, from midnight on; null where the hour is not known. #}
{% macro daypart(hour) -%}
case
    when {{ hour }} < 6 then 'night'
    when {{ hour }} < 12 then 'morning'
    when {{ hour }} < 18 then 'afternoon'
    when {{ hour }} < 24 then 'evening'
end
{%- endmacro %}

{# The hour of a moment; midnight to the microsecond is a day whose time was not given. #}
{% macro hour_of(moment) -%}
case when {{ moment }} <> date_trunc('day', {{ moment }}) then extract(hour from {{ moment }}) end
{%- endmacro %}

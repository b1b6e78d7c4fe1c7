"""Names that the Graph API knows for custom audiences, from its published specification."""

from __future__ import annotations

from audience_pipeline.sandbox.wire import words

LABELS = words(
    "APP_USERS AT_RISK CART_ABANDONERS DISENGAGED DISQUALIFIED_LEADS ENGAGED_USERS GENERAL_CUSTOMERS "
    "HIGH_VALUE_CUSTOMERS LOW_VALUE_CUSTOMERS OTHER_1 OTHER_2 OTHER_3 QUALIFIED_LEADS RECENT_PURCHASERS "
    "TRIAL_USERS"
)
CREATE_PARAMETERS = words(
    "accountID additionalMetadata allowed_domains associated_audience_id audience_labels claim_objective "
    "content_type countries creation_params customer_file_source dataset_id description details "
    "enable_fetch_or_create event_source_group event_sources exclusions expectedSize gender inclusions "
    "isPrivate is_household is_household_exclusion is_snapshot is_value_based list_of_accounts "
    "lookalike_spec maxAge minAge name opt_out_link origin_audience_id parent_audience_id partnerID "
    "partner_reference_key pixel_id prefill product_set_id regulated_audience_spec retention_days "
    "rev_share_policy_id rule rule_aggregation seed_audience source subtype tags usage_restriction "
    "use_for_products use_in_campaigns video_group_ids"
)
UPDATE_PARAMETERS = words(
    "allowed_domains audience_labels claim_objective content_type countries customer_file_source description "
    "enable_fetch_or_create event_source_group event_sources exclusions inclusionOperator inclusions "
    "lookalike_spec name opt_out_link parent_audience_id product_set_id retention_days rev_share_policy_id "
    "rule rule_aggregation tags usage_restriction use_for_products use_in_campaigns"
)
FIELDS = words(
    "account_id approximate_count_lower_bound approximate_count_upper_bound audience_labels "
    "customer_file_source data_source data_source_types datafile_custom_audience_uploading_status "
    "delete_time delivery_status description excluded_custom_audiences external_event_source "
    "fields_violating_integrity_policy household_audience id included_custom_audiences "
    "is_eligible_for_sac_campaigns is_household is_snapshot is_value_based lookalike_audience_ids "
    "lookalike_spec messenger_marketing_messages_page name operation_status opt_out_link owner_business "
    "page_deletion_marked_delete_time permission_for_actions pixel_id regulated_audience_spec "
    "retention_days rev_share_policy_id rule rule_aggregation rule_v2 seed_audience sharing_status subtype "
    "time_content_updated time_created time_updated usage_restriction"
)
ACCOUNT_FIELDS = frozenset(
    {
        "id",
        "account_id",
        "name",
        "account_status",
        "currency",
        "timezone_name",
        "tos_accepted",
        "user_tos_accepted",
    }
)

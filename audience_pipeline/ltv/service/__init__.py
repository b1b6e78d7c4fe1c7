"""Customer values over HTTP: ``POST /score`` answers in milliseconds with the numbers of ``ltv score``.

The request names one customer or many; columns are those of a file of transactions::

    {"as_of": "2026-09-30",
     "customers": [{"customer_id": "C1042",
                    "transactions": [{"transaction_date": "2026-03-31", "transaction_amount": "129.90",
                                      "product_category": "shoes", "order_id": "A-7731"}]}]}

``as_of`` is today in UTC unless given; instead of it ``observe_days`` may say how many days after its first
order each customer is looked at. With ``"reasons": true`` each entry says in up to three sentences why as
well, as ``ltv explain`` does. ``{"customer_id": ..., "transactions": [...]}`` alone is a request for one.

The answer holds one entry for each customer, in the order of the request: the columns of the predictions,
or ``customer_id`` and ``error`` where there is no order to go by::

    {"model_version": "7", "predictions": [{"customer_id": "C1042", "predicted_ltv": 214.3, ...}]}

A request that cannot be meant is refused as a whole, and nothing of what it says is repeated::

    {"errors": [{"field": "customers[0].transactions[3].transaction_amount",
                 "reason": "not a number", "remedy": "write it with a decimal point, such as 129.90"}]}
"""

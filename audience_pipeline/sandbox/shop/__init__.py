"""A synthetic shop: a small model of how people buy, with the truth written beside the data."""

from audience_pipeline.sandbox.shop.make import ShopFiles, make_shop
from audience_pipeline.sandbox.shop.parameters import ShopParameters

__all__ = ["ShopFiles", "ShopParameters", "make_shop"]

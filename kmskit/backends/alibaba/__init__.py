"""Alibaba Cloud KMS, through the vendor's own SDK.

The keys and every operation with them stay in the service; this end signs requests, keeps secrets out of logs and
errors, and turns the service's names and codes into kmskit's.
"""

from kmskit.backends.alibaba.backend import AlibabaBackend

__all__ = ["AlibabaBackend"]

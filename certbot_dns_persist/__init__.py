"""Certbot authenticator for the ACME challenge ``dns-persist-01``.

One long-lived TXT record at ``_validation-persist.<domain>`` names a CA and an ACME account, and
every renewal reuses it. See README.md for how to use it; :mod:`certbot_dns_persist.record` and
:func:`certbot_dns_persist.account.hashed_account_uri` may be used from other programs.
"""

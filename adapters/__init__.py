"""Hosts that use neural-isp: each a folder, speaking to the core through its command line or its protocol."""

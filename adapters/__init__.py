"""Hosts: each folder brings the core into one raw converter, through the contract and without image arithmetic."""

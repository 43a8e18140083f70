"""What brings neural-isp into photo editors; each host has a folder and speaks the contract like any other client."""

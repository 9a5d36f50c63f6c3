"""Quality once labels are known, as an asset."""

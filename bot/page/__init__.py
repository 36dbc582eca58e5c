"""The map page's words and values: answers in, what templates show out. Pure: no HTTP, no SQL, no clock."""

"""What is told of the map once a day, to whom, and when. Pure: no I/O, no clock."""

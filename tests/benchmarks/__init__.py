"""Speed and memory, measured on request (`make bench`), never asserted in the suite."""

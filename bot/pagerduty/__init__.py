"""PagerDuty: one note per incident kept up to date, what an incident's alerts say, and who has it."""

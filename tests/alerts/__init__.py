"""The alert doors as pure functions: headers and bytes in, a Delivery or a named refusal out."""

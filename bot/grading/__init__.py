"""How good the answers are: labelled cases, plain methods to beat, and what became of predictions."""

"""What a run would have taken with a change: its recorded graph of events, edited and run through again."""

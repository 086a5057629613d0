"""What a change would save, before anybody writes it: changes in words, laid upon recorded runs and simulated."""

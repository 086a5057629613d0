"""Ways into programs that other libraries set up."""

"""The district's vital signs: indicators as definitions, and the numbers that reports and entities give for them."""

"""Events tied to entities: what is reported, what it is about, how it is kept and told on."""

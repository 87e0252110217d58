"""Reference systems: horizontal, vertical, local frames and grid codes. The only home of pyproj."""

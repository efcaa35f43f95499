"""Where rows come from, one partition at a time."""

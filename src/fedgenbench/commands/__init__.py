"""What the commands of ``fedgenbench`` do; ``cli`` has their options and loads them when asked."""

"""What nobody may see: masks that are burned into frames where they enter, and faces that are taken out of what is shown or kept."""

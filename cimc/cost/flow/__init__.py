"""What a program does with a request, as stages that hand data to each other."""

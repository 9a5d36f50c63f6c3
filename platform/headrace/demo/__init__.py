"""The demo: real flights, landed as they would have arrived, and the loop that lives on them."""

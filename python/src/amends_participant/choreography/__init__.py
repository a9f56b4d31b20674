"""Sagas without a coordinator: the participant hears what the other services of a saga say, carries
out its own steps when it is their turn, and undoes them when the saga fails."""

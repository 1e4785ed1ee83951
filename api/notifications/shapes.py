"""What the sender of a notification is answered."""

from api.http.shapes import Shape


class Noticed(Shape):
    """`hints`: how many places are looked at for it."""

    hints: int

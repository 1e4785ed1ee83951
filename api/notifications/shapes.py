"""What the sender of a notification is answered."""

from api.http.shapes import Shape


class Noticed(Shape):
    """`mounts`: how many are looked at for it."""

    mounts: int

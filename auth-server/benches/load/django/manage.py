"""Prepares the database, and makes tokens: `prepare USERS PASSWORD`, `refresh COUNT`, `access USERNAME`."""

import sys

import django
from django.core.management import call_command
from django.db import transaction

django.setup()

from django.contrib.auth.hashers import make_password  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken  # noqa: E402


def prepare(users, password):
    call_command("migrate", verbosity=0)
    for name, hasher in (("user", "pbkdf2_sha256"), ("argon2", "argon2")):
        hashed = make_password(password, hasher=hasher)
        User.objects.bulk_create(
            User(username=f"{name}-{n}", email=f"{name}-{n}@example.org", password=hashed)
            for n in range(int(users))
        )
    User.objects.create(username="operator", email="operator@example.org", is_staff=True)


@transaction.atomic
def refresh(count):
    user = User.objects.get(username="user-0")
    for _ in range(int(count)):
        print(RefreshToken.for_user(user))


def access(username):
    print(AccessToken.for_user(User.objects.get(username=username)))


{"prepare": prepare, "refresh": refresh, "access": access}[sys.argv[1]](*sys.argv[2:])

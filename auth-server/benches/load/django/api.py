"""The four documented endpoints, and two that are protected."""

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.mail import send_mail
from django.urls import path
from rest_framework import serializers
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.serializers import (
    TokenBlacklistSerializer,
    TokenObtainPairSerializer,
    TokenRefreshSerializer,
)


class Registration(serializers.ModelSerializer):
    email = serializers.EmailField()

    class Meta:
        model = User
        fields = ["username", "password", "email"]

    def validate_password(self, password):
        validate_password(password)
        return password

    def create(self, data):
        return User.objects.create_user(**data)


def checked(serializer):
    """What a serializer of SimpleJWT makes of its input, with its errors as its own views have them."""
    try:
        serializer.is_valid(raise_exception=True)
    except TokenError as error:
        raise InvalidToken(error.args[0]) from error
    return serializer.validated_data


class Register(APIView):
    permission_classes = [IsAdminUser]

    def post(self, request):
        registration = Registration(data=request.data)
        registration.is_valid(raise_exception=True)
        user = registration.save()
        send_mail("Verify your address", "https://auth.example.org/verify", None, [user.email])
        return Response({"is_error": 0, "message": "success"}, status=201)


class LogIn(APIView):
    authentication_classes = []
    permission_classes = []

    def post(self, request):
        pair = checked(TokenObtainPairSerializer(data=request.data, context={"request": request}))
        return Response({"access_token": pair["access"], "refresh_token": pair["refresh"]})


class Refresh(APIView):
    authentication_classes = []
    permission_classes = []

    def post(self, request):
        data = {"refresh": request.data.get("refresh_token")}
        tokens = checked(TokenRefreshSerializer(data=data))
        answer = {"access_token": tokens["access"]}
        if "refresh" in tokens:
            answer["refresh_token"] = tokens["refresh"]
        return Response(answer)


class LogOut(APIView):
    authentication_classes = []
    permission_classes = []

    def post(self, request):
        checked(TokenBlacklistSerializer(data={"refresh": request.data.get("refresh_token")}))
        return Response({"message": "Successfully logged out."})


class Account(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        user = request.user
        return Response({"id": user.id, "username": user.username, "email": user.email})


class Protected(APIView):
    """Asks the token alone, not the database."""

    authentication_classes = [JWTStatelessUserAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"hello": "world"})


urlpatterns = [
    path("api/register/", Register.as_view()),
    path("api/auth/token/", LogIn.as_view()),
    path("api/auth/token/refresh/", Refresh.as_view()),
    path("api/auth/logout/", LogOut.as_view()),
    path("api/auth/me/", Account.as_view()),
    path("api/protected/", Protected.as_view()),
]

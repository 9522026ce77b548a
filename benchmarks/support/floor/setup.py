from setuptools import setup

setup(
    name="certbot-floor",
    version="1",
    py_modules=["certbot_floor"],
    install_requires=["acme", "certbot"],
    entry_points={"certbot.plugins": ["floor = certbot_floor:Authenticator"]},
)

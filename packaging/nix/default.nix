{
  lib,
  buildPythonPackage,
  fetchPypi,
  pythonOlder,
  setuptools,
  acme,
  certbot,
  configobj,
  cryptography,
  dnspython,
  idna,
  josepy,
  requests,
  rich,
  zope-interface,
  hypothesis,
  pytest,
}:

buildPythonPackage rec {
  pname = "certbot-dns-persist";
  version = "1.0.0";
  pyproject = true;
  disabled = pythonOlder "3.10";

  src = fetchPypi {
    pname = "certbot_dns_persist";
    inherit version;
    # Of the released sdist, which cannot contain its own.
    hash = lib.fakeHash;
  };

  build-system = [ setuptools ];

  dependencies = [
    acme
    certbot
    configobj
    cryptography
    dnspython
    idna
    josepy
    requests
    rich
    zope-interface
  ];

  nativeCheckInputs = [
    hypothesis
    pytest
  ];

  # Some of the tests only: packaging/pure-tests says why.
  checkPhase = ''
    runHook preCheck
    grep '^tests/' packaging/pure-tests | xargs pytest --noconftest -p no:cacheprovider
    runHook postCheck
  '';

  pythonImportsCheck = [ "certbot_dns_persist.authenticator" ];

  meta = {
    description = "Certbot authenticator for the ACME challenge dns-persist-01";
    homepage = "https://certbot-dns-persist.example";
    license = lib.licenses.asl20;
    mainProgram = "certbot-dns-persist";
  };
}

# Two stages: the first has what builds, the second only what runs.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/topology-bot
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# Dependencies first: this layer is built again only when they change, not with every line of code.
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > dependencies.txt \
    && /opt/topology-bot/bin/pip install -r dependencies.txt

COPY README.md ./
COPY templates templates
COPY bot bot
RUN pip wheel --no-deps --wheel-dir /wheels . \
    && /opt/topology-bot/bin/pip install --no-deps /wheels/*.whl


FROM python:3.13-slim
# A font is all that pictures need besides Python's packages.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --system --gid 10001 topology-bot \
    && useradd --system --uid 10001 --gid topology-bot --home-dir /data --no-create-home --shell /usr/sbin/nologin topology-bot \
    && install --directory --owner=topology-bot --group=topology-bot --mode=0750 /data
COPY --from=build /opt/topology-bot /opt/topology-bot

# 0.0.0.0 is not loopback: the API and the telemetry doors refuse everybody until TOPOLOGY_BOT_API_TOKENS is set.
ENV PATH=/opt/topology-bot/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TOPOLOGY_BOT_LISTEN=0.0.0.0:8080 \
    DATABASE_URL=sqlite:////data/topology-bot.db

# The number, not the name: Kubernetes can then see that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080

# No curl in the image; the empty ProxyHandler keeps a proxy set for the outside away from this question.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8080/healthz', timeout=2)"]

ENTRYPOINT ["topology-bot"]
CMD ["serve"]

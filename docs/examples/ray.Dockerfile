# The image of docs/examples/ray-kubernetes.yaml: the repository with its set-up, and Ray. Build it
# in a clone, with BuildKit, which reads ray.Dockerfile.dockerignore: `DOCKER_BUILDKIT=1 docker build
# -f docs/examples/ray.Dockerfile -t registry.example.org/neuron-atlas .`
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make wget && rm -rf /var/lib/apt/lists/*
WORKDIR /atlas
COPY . .
RUN found=$(ls -d .venv .dvc/config.local *.env 2>/dev/null); \
    [ -z "$found" ] || { echo "error: $found must not be in an image; set DOCKER_BUILDKIT=1" >&2; exit 1; }
RUN make setup && .venv/bin/pip install -c constraints.txt "ray[default]" dvc-s3
ENV PATH=/atlas/.venv/bin:$PATH

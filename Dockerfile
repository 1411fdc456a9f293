# docker build -t facemask .
# docker run --shm-size=2g --name run facemask && docker cp run:/facemask/data/infer/submission.csv .
# With a GPU: docker run --gpus all ...; loader workers share memory, of which Docker gives 64 MB unless told otherwise.
FROM python:3.11-slim AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

FROM base
WORKDIR /facemask
# With .git: DVC compares with commits.
COPY . .
RUN PIP_NO_CACHE_DIR=1 make venv
CMD ["make", "repro"]

# Strata as an image: `strata serve` by default, `worker` and every other command by name.
# The whole image builds it, for its C compiler; the slim one runs it.
FROM python:3.12 AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /strata \
 && /strata/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY scripts/build_kernel.py scripts/build_kernel.py
COPY memory memory
COPY chains chains
COPY service service
COPY client client
COPY experiments experiments
COPY benchmarks benchmarks
RUN /strata/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home strata \
 && install --directory --owner strata /data
COPY --from=build /strata /strata
ENV PATH=/strata/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STRATA_HOST=0.0.0.0 \
    STRATA_DATA_DIR=/data
USER 10001
WORKDIR /home/strata
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz')"]
ENTRYPOINT ["strata"]
CMD ["serve"]

# An image for all commands; `onionskin serve` is the default.
# The full Python image has a C compiler and builds the package; the slim one runs it.
FROM python:3.12 AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /onionskin \
 && /onionskin/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY scripts/build_kernel.py scripts/build_kernel.py
COPY memory memory
COPY chains chains
COPY service service
COPY client client
COPY experiments experiments
COPY benchmarks benchmarks
# Links to the folders above: ../../memory from /src/src/onionskin is /src/memory.
COPY src src
RUN /onionskin/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home onionskin \
 && install --directory --owner onionskin --mode 700 /data
COPY --from=build /onionskin /onionskin
ENV PATH=/onionskin/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ONIONSKIN_HOST=0.0.0.0 \
    ONIONSKIN_DATA_DIR=/data
USER 10001
WORKDIR /home/onionskin
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz')"]
ENTRYPOINT ["onionskin"]
CMD ["serve"]

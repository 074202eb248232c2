# docker build -t action-gru .                                    about 1.6 GB, no CUDA
# docker run --rm -p 127.0.0.1:8000:8000 -e ACTION_GRU_KEY=... action-gru    serves the model `fights`
# docker run --rm -v "$PWD:/data" --user "$(id -u)" action-gru train clips
# docker build --build-arg WEIGHTS="yolo26n-cls.pt" -t action-gru .     fetches nothing later
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
# torch from PyTorch's own index of CPU builds; other indexes bring 5 GB of CUDA libraries with it.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=serve,mqtt,people
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/action-gru/bin:$PATH
WORKDIR /src
RUN python3 -m venv /opt/action-gru
COPY constraints.txt ./
RUN pip install -c constraints.txt --index-url "$TORCH_INDEX" torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY action_gru action_gru
# Without a screen OpenCV needs no windows, and without those no libraries of the system. What torch
# brings for compiling and for its own tests is 200 MB.
RUN pip install -c constraints.txt ".[$EXTRAS]" \
 && pip uninstall -y opencv-python \
 && pip install -c constraints.txt opencv-python-headless \
 && cd /opt/action-gru/lib/python3.*/site-packages/torch \
 && rm -rf include test bin/test_* bin/protoc*

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="action-gru" \
      org.opencontainers.image.description="Video action recognition: frozen YOLO features, cached once, read by a GRU." \
      org.opencontainers.image.licenses="AGPL-3.0-or-later"
# The home keeps what is fetched; it is a volume, so the rest of the container may be read-only.
RUN useradd --uid 10001 --home-dir /home/action-gru --create-home action-gru \
 && chmod 1777 /home/action-gru \
 && mkdir /data \
 && chown action-gru /data
COPY --from=build /opt/action-gru /opt/action-gru
ENV PATH=/opt/action-gru/bin:$PATH HOME=/home/action-gru PYTHONUNBUFFERED=1
USER action-gru
WORKDIR /data
# Names of networks to fetch now; the others are fetched when a model first asks for them.
ARG WEIGHTS=
ARG ACTION_GRU_WEIGHTS_URL
RUN for name in $WEIGHTS; do \
      python -c "import sys; from action_gru.backbone.weight_files import find_weights; find_weights(sys.argv[1], True)" "$name" || exit 1; \
    done
VOLUME /home/action-gru
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["action-gru"]
CMD ["serve", "-m", "fights", "--host", "0.0.0.0", "--port", "8000"]

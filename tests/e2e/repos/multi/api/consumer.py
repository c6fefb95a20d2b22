import os
import time

from queue_client import ask

ask("SET", "worked", f"worker of {os.environ['PLATFORM_APPLICATION_NAME']}")
while True:
    time.sleep(60)

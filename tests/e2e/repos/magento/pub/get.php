<?php

header('Content-Type: text/plain');
echo 'made on demand: ' . $_SERVER['REQUEST_URI'];

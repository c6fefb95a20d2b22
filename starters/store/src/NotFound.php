<?php

declare(strict_types=1);

namespace Harbour;

final class NotFound extends \RuntimeException
{
}

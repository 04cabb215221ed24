module example.com/home

go 1.19

# 1. Without the three-star reviews
two_classes = frame[frame["label"] != "average"]
print(f"{len(two_classes):,} rows; always 'good': {(two_classes['label'] == 'good').mean():.3f}")

# 2. Another seed, another test split
for other in range(5):
    again = label.split_by_company(frame.drop(columns="split"), validation_share, test_share, other)
    test = again[again["split"] == "test"]
    print(f"seed {other}: {len(test):,} test reviews, {(test['label'] == 'bad').mean():.1%} bad")
